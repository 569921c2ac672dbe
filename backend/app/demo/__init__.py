"""Demo data that looks real: public-domain books and European charge points; prices, stock and tariffs are invented."""
