"""Django's routes. There are none: django-bolt serves everything."""

urlpatterns: list[object] = []
