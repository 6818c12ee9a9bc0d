"""The HTTP API: one FastAPI application, served by the Azure Functions host or, at home, by uvicorn."""
