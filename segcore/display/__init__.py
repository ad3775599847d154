"""What a reader sees and touches: masks, sliders over pictures, figures with alt text."""
