"""The tests. They mirror backend/. `contract/` runs over every registered entity."""
