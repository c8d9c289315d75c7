"""The `kpro` command."""

from kpro_graph.commands import main

if __name__ == "__main__":
    main()
