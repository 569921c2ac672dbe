"""What a developer declares: entities, marks, policies, rules and transitions."""
