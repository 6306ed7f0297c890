"""Two versions at once: who is compared by what, what is decided, who acts, and who watches."""
