"""The Spark job: landing files to Bronze, Silver and Gold Delta tables, and from there into SQL."""
