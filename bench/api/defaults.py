"""What a run takes where nothing is named: a model and a task that show the effect of eviction within minutes on two
cores."""

MODEL = "smollm2-135m"
TASKS = "niah_multikey_1"
LENGTH = 1024
LIMIT = 12
SCHEDULE = "one-shot"
REPEATS = 5
NEW_TOKENS = 32
