"""What a sweep has found so far: leaderboard, report, display."""
