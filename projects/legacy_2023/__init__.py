"""The checkpoint that was released in 2023, converted: `legacy_2023.conversion.convert`."""
