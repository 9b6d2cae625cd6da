"""What do we say, to whom, and did it arrive?

Policy, templates, composing, the outbox and the couriers. This room never decides what happens to a
ticket.
"""
