"""Many requests on one context: notes of a storehouse, and questions of ten kinds about them."""
