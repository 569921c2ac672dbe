"""The security suite over what the product writes by hand."""
