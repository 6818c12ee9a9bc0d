"""What organizations pay, through Stripe: checkout, the customer portal, and what follows from what Stripe tells."""
