"""What people look at: tables, pictures, pages. Inputs and values have the network's dtype, pixels uint8."""
