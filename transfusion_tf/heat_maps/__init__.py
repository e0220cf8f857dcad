"""Heat maps of pictures, beside those of the same network with random weights.

attribution     integrated gradients and Grad-CAM of one network
randomization   the same network with weights drawn anew, from the top down
compare         how much alike its maps are
page            pictures, maps and figures as HTML
"""
