"""Where is it kept?

Tables, queries and migrations, one file for each aggregate, on SQLite or PostgreSQL. This room knows
rows; it never knows what mail or SMTP is, and it imports no other room.
"""
