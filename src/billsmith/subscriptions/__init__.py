"""Who agreed to what, from when: subscriptions, their changes, and the spans that are to be billed. See README.md."""
