"""The tests; they mirror backend/, and contract/ runs over every registered entity."""
