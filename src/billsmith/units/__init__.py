"""The words that every other package uses: decimals, currencies, instants, ids, errors. See README.md."""
