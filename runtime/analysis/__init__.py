"""What a run means: cycles by layer and cause, comparisons, the headline."""
