"""Commands that make data: `anyweave data t2m` and `anyweave data mosit`."""
