"""Leaderboards as a static web site: an index with the matrix, a page for each task, cards, printed tables, records.

Nothing on a page is asked of another host, and everything that comes from outside is text there.
"""
