"""When does it happen?

Intake by SMTP and IMAP, processing, the schedule, start and stop. This room holds no rules of its own.
"""
