"""The same bookshop written the way others write it, each as its own documentation teaches and never tuned; and the floor."""
