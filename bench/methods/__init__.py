"""Methods: budgets, allocation, selection, eviction and their events."""
