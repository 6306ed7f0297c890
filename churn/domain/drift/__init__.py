"""Has the world changed? Two samples compared column by column: a test, an effect, and a verdict that needs both."""
