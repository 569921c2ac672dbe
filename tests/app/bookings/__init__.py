"""The charging network: when, where and by whom a booking can be made and changed."""
