import './base.css';
import '../src/widget/widget.css';
