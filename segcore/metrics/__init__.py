"""What a network scores: confusion matrices photo by photo, all numbers from them, and how sure."""

from segcore.metrics.bootstrap import Interval as Interval
from segcore.metrics.bootstrap import bootstrap_interval as bootstrap_interval
from segcore.metrics.bootstrap import paired_bootstrap as paired_bootstrap
from segcore.metrics.boundary import boundary_band as boundary_band
from segcore.metrics.boundary import boundary_confusion as boundary_confusion
from segcore.metrics.boundary import boundary_iou as boundary_iou
from segcore.metrics.confusion import Counts as Counts
from segcore.metrics.confusion import confusion_matrix as confusion_matrix
from segcore.metrics.confusion import iou as iou
from segcore.metrics.confusion import mean_iou as mean_iou
from segcore.metrics.confusion import mean_ious as mean_ious
from segcore.metrics.confusion import pixel_accuracies as pixel_accuracies
from segcore.metrics.confusion import pixel_accuracy as pixel_accuracy
from segcore.metrics.scores import MIN_PIXELS as MIN_PIXELS
from segcore.metrics.scores import PhotoMatrices as PhotoMatrices
from segcore.metrics.scores import Scores as Scores
from segcore.metrics.scores import load_matrices as load_matrices
from segcore.metrics.scores import paired as paired
from segcore.metrics.scores import percent as percent
from segcore.metrics.scores import save_matrices as save_matrices
from segcore.metrics.scores import summary as summary
