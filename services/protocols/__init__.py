"""Wire protocols: request bodies to rows, batch results to response bodies; a file for each.

In: bytes. Out: `Rows` of the model's schema, and the encoded response or fault.
May import `services.inference`; knows no HTTP, queue or endpoint.
"""
