"""The plan of topics and the list of ACLs in the words of the tools that operators use. Pure; one module per tool."""
