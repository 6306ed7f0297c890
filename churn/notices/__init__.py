"""Who is told what has happened: one notifier, and an adapter each for Slack, PagerDuty and mail."""
