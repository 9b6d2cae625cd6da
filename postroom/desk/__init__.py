"""What is a ticket, and what may happen to it?

Workflow, who the author is, opening and adding, and what an agent may do. This room never sends mail
and never parses it: what happened is handed on as values.
"""
