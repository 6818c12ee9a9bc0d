"""Telling people of alerts, where they are: by e-mail, in Slack and Teams, and by signed webhooks."""
