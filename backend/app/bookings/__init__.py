"""The charging network: charge points, vehicles and bookings."""
