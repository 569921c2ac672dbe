"""The product: a bookstore and a charging network on Rowhouse."""
