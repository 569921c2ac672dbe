"""Django's settings: one database, by DATABASE_URL."""

import os

from sqlalchemy import make_url

url = make_url(os.environ["DATABASE_URL"])
SECRET_KEY = os.environ["JWT_SECRET"]
INSTALLED_APPS = ["django_bolt", "perf.app.compare.rivals.bolt"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.query.get("host", url.host),
        "PORT": url.port or "",
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ, TIME_ZONE = True, "UTC"
ROOT_URLCONF = "perf.app.compare.rivals.bolt.urls"
BOLT_API = ["perf.app.compare.rivals.bolt.api:api"]
