"""A recipe as text: read, overridden and checked by name, before any training library loads.

reading      the YAML file, strictly
shipped      the recipes that come with the package, by name
overrides    ``section.field=value`` as people write it
fields       which names a section knows, from the libraries' sources
suggestions  the name that was meant
"""
