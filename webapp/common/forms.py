"""How forms are drawn: `{{ form }}` and `{{ form.name.as_field_group }}` come out in the look of the product.

Named in settings as `FORM_RENDERER`, so that forms of libraries (sign-in, second factor) look the same.
"""

from django.forms.renderers import TemplatesSetting


class StudioRenderer(TemplatesSetting):
    """Our own templates for a form and for a field; Django's for the widgets."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
