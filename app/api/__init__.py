"""The Buffer API, version 1: what it takes, what it checks, what it answers.

It changes nothing by itself: a request becomes a command for control, and answers come from a view of the control log.
`app.api.service.create_api` builds it; the modules without HTTP (`drafts`, `rules`, `running`) are control's as well.
"""
