"""What connects Headrace to other systems. Each module needs the extra that it names."""
