"""What the tool costs, as ratios against a baseline in the same run. Timings are never asserted in tests."""
