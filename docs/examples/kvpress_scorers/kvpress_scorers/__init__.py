"""kvpress's score presses for lukv-bench."""
