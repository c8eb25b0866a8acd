"""Results of a sweep: leaderboard, report, display."""
