"""The same bookshop written the way others write it, each as its own documentation teaches. Never tuned."""
