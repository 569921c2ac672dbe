"""The tables."""

from typing import Any

from django.db import models


class Category(models.Model):
    """The table that a book's `category_id` refers to."""

    name: Any = models.CharField(max_length=255)

    class Meta:
        """The name of the table."""

        db_table = "categories"


class User(models.Model):
    """The row that an endpoint with a token loads."""

    email: Any = models.CharField(max_length=255, unique=True)
    full_name: Any = models.CharField(max_length=255)
    hashed_password: Any = models.TextField()
    is_active: Any = models.BooleanField(default=True)

    class Meta:
        """The name of the table."""

        db_table = "users"


class Book(models.Model):
    """The table."""

    title: Any = models.CharField(max_length=255)
    author: Any = models.CharField(max_length=255)
    description: Any = models.TextField(null=True)
    price: Any = models.DecimalField(max_digits=10, decimal_places=2)
    stock: Any = models.IntegerField(default=0)
    category: Any = models.ForeignKey(Category, null=True, on_delete=models.PROTECT, db_index=False)
    cover_image: Any = models.TextField(null=True)
    created_at: Any = models.DateTimeField(auto_now_add=True)
    updated_at: Any = models.DateTimeField(auto_now=True)

    class Meta:
        """The name of the table."""

        db_table = "books"
