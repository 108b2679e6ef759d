"""AWS Lambda: one event in, one answer out, with the decoder and the session of the service.

In: events of a function URL, an API Gateway, a load balancer or a direct call. Out: the answers of
the service, bit for bit, and each record of traffic as a line of standard output, which Lambda
keeps in CloudWatch. There is no socket, queue, batch or key: Lambda has its own for all four.
May import contracts, `services.protocols` and `services.inference`; knows no AWS library.
"""
