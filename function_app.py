"""The door of the Azure Functions host: it imports this module and indexes `app`."""

from functions.host import start

app = start()
