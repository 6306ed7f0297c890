"""Monitor, second part: reference against window, and predictions against outcomes, from files alone."""
