import './base.css';
import '../src/widget/widget.css';
import '../src/widget/datasets.css';
