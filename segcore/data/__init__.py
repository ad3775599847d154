"""Photos and masks in: reading, letterboxing, VOC's labels, drawn scenes, augmentation."""
